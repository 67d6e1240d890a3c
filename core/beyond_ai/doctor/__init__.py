"""What `beyond-ai doctor` looks at, and what it finds: a file for each group of checks.

| file | |
| --- | --- |
| `finding` | one line of the result |
| `configuration` | the configuration, plugins, auth schemes, signing keys, pool keys |
| `deny_store` | the source of the deny-set, by the store's own check |
| `providers` | every provider, asked through the transport in use; name look-up; how long its certificate lasts |
| `clock` | this machine's clock beside those of whoever answered |
| `machine` | open files, and the addresses to listen on |
| `examination` | all of it, side by side, each bounded in time |
| `threads` | look-ups that hang keep nobody waiting |

Nothing is changed anywhere, and no key is sent or shown.
"""
