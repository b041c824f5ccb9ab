"""The data: reading data sets, converting intensities to levels, and batches for the model."""
