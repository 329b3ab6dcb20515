"""Training: the loop over phases and what belongs to it; it knows no method by name."""
