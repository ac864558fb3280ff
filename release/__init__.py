"""What is done for a release: the software bill of materials and the check for vulnerabilities."""
