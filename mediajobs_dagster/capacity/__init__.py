"""What media costs in machine time and money, and how many machines are needed for it."""
