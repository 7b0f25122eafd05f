"""What a front end shows while there is a kernel: each widget is imported where it is first needed."""
