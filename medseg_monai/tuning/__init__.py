"""What validation cases decide after training: cleaning, and which cases a person should look at."""
