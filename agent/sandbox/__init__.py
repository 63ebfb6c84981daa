"""The three Base services as small, honest HTTP servers that misbehave on request.

`python -m agent.sandbox` serves GENERATIVE, ANALYSIS and COMMUNICATION on three ports, for tests,
demonstrations and throughput runs. Each does its job (fill a template, compute statistics, deliver
to an outbox file, once per Idempotency-Key). An object named `sandbox` in `template_data`, in
`context.request.data` or in a notification's `metadata` asks for a fault of that one call, and
`PUT /sandbox/fault` for a fault of every call; `faults` has the vocabulary.
"""
