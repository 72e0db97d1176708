"""What is particular to Google's Gemini models; nothing else in the project knows their interface."""
