"""The process `manage.py watch`: a supervisor, one thread a host, chores, and one door to the database."""
