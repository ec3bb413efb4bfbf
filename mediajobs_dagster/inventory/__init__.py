"""What lies in the storage, who names it, and what may go."""
