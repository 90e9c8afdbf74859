"""`doctor --probe`: tries Gemini for real, and reports what it does without anything secret."""
