"""The service: posts in, affect events out. Its files are the stages of the way of one post."""
