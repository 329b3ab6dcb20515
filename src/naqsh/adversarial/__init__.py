"""Mathematics that several adversarial methods share; it knows no method."""
