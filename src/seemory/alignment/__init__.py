"""The alignment lab: heads on frozen encoders, trained, measured, compared, and put into use."""
