"""Below `responder` and `attempt`: how HTTP is spoken to responders, and what is said in one attempt."""
