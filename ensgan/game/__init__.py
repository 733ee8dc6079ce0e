"""The method: what M generators and N discriminators play, and one compiled step of it."""
