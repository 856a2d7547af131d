"""Every bound in Quorate, and the relations between bounds.

Knows numbers only. Units go last in each name. Importing this module checks the relations, so a
change that breaks one fails at start, not in production.
"""

KIB = 1024
MIB = 1024 * KIB
MS_NS = 1_000_000
SECOND_NS = 1_000 * MS_NS

# -- events and the log
EVENT_HEAD_MAX_BYTES = 2 * KIB
EVENT_BODY_MAX_BYTES = MIB
EVENT_DEPS_MAX = 8
EVENT_SALT_BYTES = 16
GROUP_EVENTS_MAX = 4096  # events in one group commit
GROUP_BYTES_MAX = 32 * MIB
GROUP_FULL_EVENTS = 1_024  # a group with so many events closes; what is left goes into the next
GROUP_FULL_BYTES = 8 * MIB
COMMAND_EVENTS_MAX = 1_024  # changes, or events of others, in one command
SIGN_EVERY_EVENTS = 64  # in a long group every so many events are signed, so that a receipt's chain stays short
CLOCK_DRIFT_MAX_MS = 60_000  # an event further ahead than this is refused
SNAPSHOT_EVERY_EVENTS = 50_000
READ_BATCH_EVENTS = 1_000
READ_BATCH_BYTES = 8 * MIB  # a batch of events ends with the one that reaches this
ROWS_READ_MAX = 10_000  # rows of a read model in one query
TILE_LEAVES = 256  # leaves of the log's tree kept together
RECENT_TILES = 64  # tiles whose leaves stay in memory
SUPPLIED_TILES = 16  # older tiles held in memory for the proofs that need them
TREE_NODES_CACHED = 1_024  # inner nodes kept from one proof to the next
RING_EVENTS = 4096  # committed events kept in memory for subscribers

# -- jobs and tasks
JOB_TASKS_MAX = 10_000
JOB_CHUNK_TASKS = 1_000  # tasks in one job event
TASK_DEPS_MAX = 10_000
TASK_NEEDS_MAX = 16
NAME_MAX_CHARS = 200
TITLE_MAX_CHARS = 1_000
REPLICAS_MAX = 16
RETRIES_MAX = 100
TIMEOUT_MIN_MS = 100
TIMEOUT_MAX_MS = 24 * 3600 * 1000
LIVE_TASKS_MAX = 100_000  # tasks of unfinished jobs; beyond it a submission is refused with 1004
ATTEMPTS_KEPT = 64
ATTEMPT_REASON_MAX_CHARS = 1_000  # the end of a failure's last words that stays with its attempt
LEASES_LOST_MAX = 100  # leases of one task that may be lost with their nodes before it fails
LEASES_PER_EVENT = 4_096
DECISIONS_MAX = 1_024  # bodies that one call of the dispatcher returns
JOB_MAX_BYTES = 8 * MIB  # all tasks of one job, packed
POOLS_KEPT = 64  # sets of needs whose eligible nodes are remembered though no task waits for them
LATENCIES_KEPT = 4_096  # durations of tasks that percentiles are taken of
RETRY_BASE_MS = 200
RETRY_CAP_MS = 30_000

# -- results, inputs and blobs
INLINE_MAX_BYTES = 64 * KIB  # an input or output up to this travels inside its message
BLOB_PART_BYTES = 256 * KIB
BLOB_MAX_BYTES = 256 * MIB
BLOBS_CHECKED_MAX = 1_024  # blobs remembered as hashed since they last changed
RECEIPT_MAX_BYTES = 32 * MIB
BLOB_SMALL_BYTES = 16 * KIB  # kept in the database, in the transaction that refers to it
TASK_LOG_MAX_BYTES = 16 * KIB
USAGE_FIELDS_MAX = 16

# -- nodes and links
NODES_MAX = 10_000
NODE_SLOTS_MAX = 256
NODE_CAPABILITIES_MAX = 256
LINK_MESSAGE_MAX_BYTES = 8 * MIB
LINK_IDS_MAX = 2**32 - 2  # the last message id of a session: then it is closed, and keyed anew
LINK_QUEUE_MESSAGES = 256  # outgoing messages waiting for one peer
LINK_INBOX_MESSAGES = 4096  # incoming messages of all peers waiting for the machine
LINK_RATE_MESSAGES_S = 2_000  # sustained messages a second from one peer before it is cut off
LINK_BURST_MESSAGES = 8_000
ASSIGN_BATCH = 64
RESULT_BATCH = 64
HEARTBEAT_MS = 1_000
HEARTBEAT_LOST_MS = 2_500
HANDSHAKE_MS = 5_000
RECONNECT_BASE_MS = 100
RECONNECT_CAP_MS = 5_000
NODE_RETURN_MS = 15_000  # a task whose votes wait for a further node gives one that went away as long to come back
PROGRESS_AFTER_MS = 20  # a task that is over sooner was never worth a message that it runs
LEASE_GRACE_MS = 3_000  # a lease outlives its task's timeout by this, to let the answer travel
JOIN_TOKEN_TTL_MS = 24 * 3600 * 1000
DRAIN_MS = 10_000

# -- work nodes
WORK_NODES_MAX = 100_000
WORK_FIELDS_MAX = 64
WORK_VALUE_MAX_BYTES = 64 * KIB
WORK_SET_ITEMS_MAX = 1_024
WORK_HEADS_MAX = 64  # writes of one register that replace none of each other
WORK_COUNT_MAX = 2**31 - 1  # one step of a counter, up or down
WORK_HISTORY_MAX = 50_000  # spent events kept in memory so that they can be retracted
WORK_PROVISIONAL_MAX = 10_000  # events without a receipt that a replica folds
TREE_DEPTH_MAX = 64
PARKED_EVENTS_MAX = 1_024  # received but waiting for a dependency or a grant, per peer

# -- edges
BODY_MAX_BYTES = 8 * MIB
PAGE_MAX = 500
PAGE_DEFAULT = 50
SUBSCRIBERS_MAX = 10_000
TOKENS_MAX = 10_000
IDEMPOTENCY_KEY_MAX_CHARS = 128
IDEMPOTENCY_RECENT = 10_000
CALLS_IN_FLIGHT_MAX = 4_096
USER_RATE_REQUESTS_S = 2_000
USER_BURST_REQUESTS = 10_000
JOURNAL_QUEUE_GROUPS = 8

# -- sandboxes
SANDBOX_CPU_S = 300
SANDBOX_MEMORY_BYTES = 1024 * MIB  # of all processes of one task
SANDBOX_MEMORY_MIN_BYTES = 16 * MIB
SANDBOX_SCRATCH_BYTES = 256 * MIB  # what a task may write to /work and to /tmp, each; kept in memory
SANDBOX_SHM_BYTES = 64 * MIB
SANDBOX_FILE_BYTES = 64 * MIB
SANDBOX_OUTPUT_BYTES = 16 * MIB
SANDBOX_PROCESSES = 64
SANDBOX_FILES_MAX = 1_024
SANDBOX_ARGV_MAX = 1_024
SANDBOX_ENV_MAX = 64
SANDBOX_ARG_BYTES = 120 * KIB  # arguments and environment together; Linux takes 128 KiB in one string
SANDBOX_NAME_BYTES = 512  # of an input file's name with its folders
SANDBOX_INPUT_BYTES = 256 * MIB  # input files, outputs of dependencies and stdin together
SANDBOX_OPEN_FILES = 256
SANDBOX_FETCHES = 16  # blobs fetched at once for one task
SANDBOX_PROBE_MS = 5_000

_RELATIONS = (
    (HEARTBEAT_LOST_MS > 2 * HEARTBEAT_MS, "one lost heartbeat is no failure"),
    (HEARTBEAT_LOST_MS < 3_000, "a dead node is found within three seconds"),
    (
        NODE_RETURN_MS >= 2 * RECONNECT_CAP_MS + HEARTBEAT_LOST_MS,
        "a node may fail to connect twice and still be waited for",
    ),
    (INLINE_MAX_BYTES < EVENT_BODY_MAX_BYTES, "an inline value fits in an event"),
    (BLOB_PART_BYTES < LINK_MESSAGE_MAX_BYTES, "a blob part fits in a message"),
    (ASSIGN_BATCH * INLINE_MAX_BYTES < LINK_MESSAGE_MAX_BYTES, "a full assignment fits in a message"),
    (RESULT_BATCH * INLINE_MAX_BYTES < LINK_MESSAGE_MAX_BYTES, "a full result batch fits in a message"),
    (BLOB_SMALL_BYTES <= INLINE_MAX_BYTES, "what is kept in the database also travels inline"),
    (SANDBOX_FILE_BYTES <= SANDBOX_SCRATCH_BYTES, "the largest file fits in the scratch space"),
    (SANDBOX_MEMORY_MIN_BYTES <= SANDBOX_MEMORY_BYTES, "a task may have the memory it needs to start"),
    (SANDBOX_OUTPUT_BYTES <= BLOB_MAX_BYTES, "whatever a sandbox may print can be stored"),
    (JOB_CHUNK_TASKS <= JOB_TASKS_MAX <= LIVE_TASKS_MAX, "one job fits among the live tasks"),
    (JOB_MAX_BYTES <= GROUP_BYTES_MAX, "all events of a job fit in one group"),
    (
        GROUP_FULL_EVENTS + max(DECISIONS_MAX, COMMAND_EVENTS_MAX) < GROUP_EVENTS_MAX,
        "one more step fits in a group that is not full yet",
    ),
    (
        GROUP_FULL_BYTES + JOB_MAX_BYTES + BODY_MAX_BYTES <= GROUP_BYTES_MAX,
        "one more job with its inputs fits in a group that is not full yet",
    ),
    (LEASES_PER_EVENT * 128 <= EVENT_BODY_MAX_BYTES, "the leases of one event fit in its body"),
    (TASK_DEPS_MAX >= JOB_TASKS_MAX - 1, "a reduce task may depend on all others"),
    (WORK_VALUE_MAX_BYTES < EVENT_BODY_MAX_BYTES, "a register's value fits in an event"),
    (WORK_HEADS_MAX > EVENT_DEPS_MAX, "a write that names all it may makes room for itself"),
    (EVENT_BODY_MAX_BYTES <= BODY_MAX_BYTES, "an event can be posted"),
    (LINK_BURST_MESSAGES >= LINK_RATE_MESSAGES_S, "a burst is at least a second of the rate"),
    (PAGE_DEFAULT <= PAGE_MAX, "the default page is allowed"),
    (SIGN_EVERY_EVENTS <= GROUP_EVENTS_MAX, "a receipt's chain lies within a group"),
    (SUPPLIED_TILES >= 3, "one proof never needs more tiles than are held for it"),
    (EVENT_BODY_MAX_BYTES < READ_BATCH_BYTES <= GROUP_BYTES_MAX, "a batch read holds some of the largest events"),
    (PAGE_MAX <= ROWS_READ_MAX and JOB_TASKS_MAX <= ROWS_READ_MAX, "a page, or all tasks of a job, in one query"),
    (RECENT_TILES >= 2, "the open tile and the one before it stay in memory"),
)
for _holds, _why in _RELATIONS:
    if not _holds:
        raise AssertionError(f"limits contradict each other: {_why}")
