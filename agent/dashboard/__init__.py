"""The dashboard: pages for people, served by `web` under `/dashboard`."""
