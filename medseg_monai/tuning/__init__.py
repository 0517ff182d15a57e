"""Settings learnt from validation cases after training: cleaning, and which cases a person should look at."""
