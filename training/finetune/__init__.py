"""Fine-tuning: a frozen data set and a base model become a tuned model, on this machine or at OpenAI."""
