"""What keeps the store true, one file a duty. They touch MongoDB alone; any number may do them."""
