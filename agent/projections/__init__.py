"""What Redis carries beside the queues: signs of life, counts and news. All of it may be lost."""
