"""The supervisor: the process that opens the sockets, starts the workers and keeps them running, and serves no client.

| file | what |
| --- | --- |
| `messages` | what supervisor and workers say to each other, a line of JSON each |
| `worker` | a worker's side: what its process runs |
| `process` | one worker, from the supervisor's side |
| `backoff` | how long to wait before a worker that died is started again |
| `generation` | the workers of one configuration, and their shared memory |
| `totals` | what all workers counted, dead ones included |
| `consumption` | the memory and processor time of the workers |
| `supervisor` | signals, reloads, the end |
| `view` | all of it, as the admin listener shows it |
"""
