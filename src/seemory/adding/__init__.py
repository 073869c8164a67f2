"""Pictures that are handed over as bytes: kept in the data folder, and made items of."""
