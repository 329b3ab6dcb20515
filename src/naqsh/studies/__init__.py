"""What is done with trained runs: each study measures them and writes its result."""
