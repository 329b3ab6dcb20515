"""What run folders say, read into plain values for the report."""
