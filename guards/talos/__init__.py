"""The Talos API of the machines themselves: asked before a remediation, and told to reboot by one."""
