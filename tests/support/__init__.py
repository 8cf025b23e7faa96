"""What several tests share: a scripted site, and a check that nothing is left behind."""
