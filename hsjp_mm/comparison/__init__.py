"""The same fine-tuning from several initialisations: plan, run, read, report."""
