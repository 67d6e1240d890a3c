"""The `nats` store: the deny-set as it is in a key-value bucket of NATS JetStream.

| file | |
| --- | --- |
| `plugin` | what is offered, and its settings |
| `entries` | what keys and values of the bucket mean |
| `login` | users, passwords and .creds files |
| `bucket` | a connection that ends for good when it breaks, and the bucket on it |
| `feed` | the updates of the bucket, none missing |
| `store` | scan, follow, resume, rescan, and when to try again |
| `snapshot`, `snapshot_file` | the file that has the set before NATS answers: its bytes, and their way to the disk |
"""
