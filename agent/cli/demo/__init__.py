"""`agent demo`: the main job from start to end, and a look at whether it ended as planned."""
