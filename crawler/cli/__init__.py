"""Words typed by a person become calls on the app. It prints and exits; it decides nothing about crawling."""
