"""Links profiles to their images, with accounting."""
