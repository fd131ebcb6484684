"""Documents judged against a query: reranking in both its shapes, and vLLM's scores."""
