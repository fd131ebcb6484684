"""What clients demand of an answer, one rule for each demand."""
