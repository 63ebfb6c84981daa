"""What may start now: the gate decides, the admission asks and claims."""
