"""What may come in: arrays, labels, files, and who reads which rows of them."""
