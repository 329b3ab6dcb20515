"""What methods and the trainer share; knows nothing else of Naqsh."""
