"""Which of several models predicts measurements better: leave-one-out cross-validation of posteriors."""
