"""Images to train and to measure on, and the views of them."""
