/* The `simd` scanner: reads the root of a request body 64 bytes at a time.
 *
 * Each block becomes bit masks, one bit a byte, as in simdjson (Langdale and Lemire, "Parsing gigabytes of JSON per
 * second", https://arxiv.org/abs/1902.08318): quotes, what is escaped, what is in a string, brackets, commas. A block
 * inside a string is passed over at once; below the root, brackets are counted by their number of bits; only at the
 * root is each structural byte judged, by the rules of the Python scanner, which this one is tested against.
 *
 * The file has four parts: the masks for each instruction set, the machine that reads them, the loop over blocks for
 * each set, and the Python type. Defining SCANNER_WITHOUT_PYTHON leaves the last one out, for the fuzzer.
 *
 * C11 for gcc and clang, and Python's limited API of 3.11. The state of a scan is a plain struct: nothing is allocated
 * while scanning, and nothing is shared between scanners.
 */

#ifndef SCANNER_WITHOUT_PYTHON
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#endif

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))

enum {
    BLOCK = 64,
    MODEL_BYTES = 256,   /* how much is kept of the model's name */
    KEY_BYTES = 84,      /* `stream_options` with each letter written as \uXXXX: no longer key can match */
    LITERAL_BYTES = 5,   /* `false` */
    OPTIONS_KEPT = 16,   /* as beyond_ai.spec.scanner.OPTIONS_KEPT */
};

/* ------------------------------------------------------------------------------------------------------------------
 * Masks: bit i of each is about byte i of a block.
 *
 * Every set has `text_SET`, a block in registers, and on it: `load_SET`; `lower_SET`, all bytes with bit 0x20 set, so
 * that letters lose their case and `[` and `]` become `{` and `}`; `equal_SET`; `letters_SET`, of a lowered block.
 */

typedef struct {
    uint64_t words[8];
} text_portable;

/* The top bit of each byte of WORD as the 8 bits of a number. */
INLINE uint64_t gather(uint64_t word) {
    return (((word >> 7) & 0x0101010101010101) * 0x0102040810204080) >> 56;
}

INLINE text_portable load_portable(const uint8_t *data) {
    text_portable text;
    for (int i = 0; i < 8; i++) {
        uint64_t word = 0;
        for (int j = 0; j < 8; j++) word |= (uint64_t)data[8 * i + j] << 8 * j; /* one load where that is the order */
        text.words[i] = word;
    }
    return text;
}

INLINE text_portable lower_portable(text_portable text) {
    for (int i = 0; i < 8; i++) text.words[i] |= 0x2020202020202020;
    return text;
}

INLINE uint64_t equal_portable(text_portable text, uint8_t byte) {
    const uint64_t low = 0x7F7F7F7F7F7F7F7F;
    uint64_t mask = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t other = text.words[i] ^ byte * 0x0101010101010101;
        mask |= gather(~(((other & low) + low) | other)) << 8 * i;
    }
    return mask;
}

INLINE uint64_t letters_portable(text_portable lower) {
    const uint64_t low = 0x7F7F7F7F7F7F7F7F, ones = 0x0101010101010101;
    uint64_t mask = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t word = lower.words[i], from_a = (word & low) + ones * (0x80 - 'a'),
                 past_z = (word & low) + ones * (0x80 - 'z' - 1);
        mask |= gather(from_a & ~past_z & ~word) << 8 * i;
    }
    return mask;
}

#if defined(__x86_64__)

typedef struct {
    __m128i parts[4];
} text_sse2;

INLINE uint64_t mask_sse2(__m128i a, __m128i b, __m128i c, __m128i d) {
    return (uint64_t)(uint32_t)_mm_movemask_epi8(a) | (uint64_t)(uint32_t)_mm_movemask_epi8(b) << 16 |
           (uint64_t)(uint32_t)_mm_movemask_epi8(c) << 32 | (uint64_t)(uint32_t)_mm_movemask_epi8(d) << 48;
}

INLINE text_sse2 load_sse2(const uint8_t *data) {
    text_sse2 text;
    for (int i = 0; i < 4; i++) text.parts[i] = _mm_loadu_si128((const __m128i *)(const void *)(data + 16 * i));
    return text;
}

INLINE text_sse2 lower_sse2(text_sse2 text) {
    for (int i = 0; i < 4; i++) text.parts[i] = _mm_or_si128(text.parts[i], _mm_set1_epi8(0x20));
    return text;
}

INLINE uint64_t equal_sse2(text_sse2 text, uint8_t byte) {
    for (int i = 0; i < 4; i++) text.parts[i] = _mm_cmpeq_epi8(text.parts[i], _mm_set1_epi8((char)byte));
    return mask_sse2(text.parts[0], text.parts[1], text.parts[2], text.parts[3]);
}

INLINE uint64_t letters_sse2(text_sse2 lower) {
    for (int i = 0; i < 4; i++) {
        __m128i from_a = _mm_sub_epi8(lower.parts[i], _mm_set1_epi8('a'));
        lower.parts[i] = _mm_cmpeq_epi8(_mm_min_epu8(from_a, _mm_set1_epi8('z' - 'a')), from_a);
    }
    return mask_sse2(lower.parts[0], lower.parts[1], lower.parts[2], lower.parts[3]);
}

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))

typedef struct {
    __m256i low, high;
} text_avx2;

AVX2 INLINE uint64_t mask_avx2(__m256i low, __m256i high) {
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

AVX2 INLINE text_avx2 load_avx2(const uint8_t *data) {
    return (text_avx2){_mm256_loadu_si256((const __m256i *)(const void *)data),
                       _mm256_loadu_si256((const __m256i *)(const void *)(data + 32))};
}

AVX2 INLINE text_avx2 lower_avx2(text_avx2 text) {
    const __m256i bit = _mm256_set1_epi8(0x20);
    return (text_avx2){_mm256_or_si256(text.low, bit), _mm256_or_si256(text.high, bit)};
}

AVX2 INLINE uint64_t equal_avx2(text_avx2 text, uint8_t byte) {
    const __m256i wanted = _mm256_set1_epi8((char)byte);
    return mask_avx2(_mm256_cmpeq_epi8(text.low, wanted), _mm256_cmpeq_epi8(text.high, wanted));
}

AVX2 INLINE uint64_t letters_avx2(text_avx2 lower) {
    const __m256i a = _mm256_set1_epi8('a'), range = _mm256_set1_epi8('z' - 'a');
    const __m256i low = _mm256_sub_epi8(lower.low, a), high = _mm256_sub_epi8(lower.high, a);
    return mask_avx2(_mm256_cmpeq_epi8(_mm256_min_epu8(low, range), low),
                     _mm256_cmpeq_epi8(_mm256_min_epu8(high, range), high));
}

#elif defined(__aarch64__)

typedef struct {
    uint8x16_t parts[4];
} text_neon;

/* NEON has no movemask: each byte keeps its own bit, and pairs are added until eight bytes are one. */
INLINE uint64_t mask_neon(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d) {
    const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    uint8x16_t low = vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits));
    uint8x16_t high = vpaddq_u8(vandq_u8(c, bits), vandq_u8(d, bits));
    uint8x16_t sum = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

INLINE text_neon load_neon(const uint8_t *data) {
    text_neon text;
    for (int i = 0; i < 4; i++) text.parts[i] = vld1q_u8(data + 16 * i);
    return text;
}

INLINE text_neon lower_neon(text_neon text) {
    for (int i = 0; i < 4; i++) text.parts[i] = vorrq_u8(text.parts[i], vdupq_n_u8(0x20));
    return text;
}

INLINE uint64_t equal_neon(text_neon text, uint8_t byte) {
    for (int i = 0; i < 4; i++) text.parts[i] = vceqq_u8(text.parts[i], vdupq_n_u8(byte));
    return mask_neon(text.parts[0], text.parts[1], text.parts[2], text.parts[3]);
}

INLINE uint64_t letters_neon(text_neon lower) {
    for (int i = 0; i < 4; i++)
        lower.parts[i] = vcleq_u8(vsubq_u8(lower.parts[i], vdupq_n_u8('a')), vdupq_n_u8('z' - 'a'));
    return mask_neon(lower.parts[0], lower.parts[1], lower.parts[2], lower.parts[3]);
}

#endif

/* ------------------------------------------------------------------------------------------------------------------
 * The machine
 */

enum member { OTHER, MODEL, STREAM, OPTIONS };             /* whose value is being read */
enum role { OUTSIDE, SKIPPED, KEY, VALUE };                /* what the string that is being read at the root is for */
enum root { NO_ROOT, FIRST_ROOT, LATER_ROOT };             /* which root was opened last */
enum literal { NO_LITERAL = -1, IS_FALSE = 0, IS_TRUE = 1 };

/* All that is known of a body so far. All zeros but for `start_scan` before the first byte. Offsets count from there. */
struct scan {
    uint64_t fed;       /* bytes before the chunk that is being read */
    uint64_t words;
    uint64_t depth;     /* open brackets */
    uint64_t floor;     /* the depth that tokens are judged at: 1 in a root object, 0 outside and in a root array */
    uint64_t in_string; /* all ones between the quotes of a string, else zero */
    int64_t root_end;
    int64_t value_start; /* of the value of `stream` or `stream_options`; -1 while there is none */
    int64_t value_end;   /* after its last byte so far that is no white space */
    int64_t options[OPTIONS_KEPT][2];
    uint32_t option_count;
    uint32_t model_length;
    uint32_t key_length; /* of what earlier chunks had of the key; more than KEY_BYTES when it is longer */
    enum member member;
    enum role role;
    enum root root;
    enum literal stream;
    bool model_found;
    bool key_due;      /* the next string at the root is a key */
    bool value_due;    /* nothing but white space and colons yet after the key of `stream` or `stream_options` */
    bool has_member;   /* the first root does */
    bool escaped;      /* the last byte was a backslash that escapes the next */
    bool after_letter; /* the last byte was an ASCII letter */
    uint8_t literal_length;
    uint8_t literal[LITERAL_BYTES]; /* how the value of `stream` begins */
    uint8_t key[KEY_BYTES];
    uint8_t model[MODEL_BYTES];
};

/* The bytes that are being fed. */
struct chunk {
    struct scan *scan;
    const uint8_t *data;
    size_t size;
    size_t from;  /* where what it has of the key or model that is being read begins */
    bool escaped; /* its first byte is */
};

static void start_scan(struct scan *scan) {
    scan->root_end = scan->value_start = -1;
    scan->stream = NO_LITERAL;
}

static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

/* One string or key at the root */

/* Append the bytes of the chunk from `from` to END to the model's name, each backslash dropped and what follows kept. */
static void hold_model(struct chunk *chunk, size_t end) {
    struct scan *scan = chunk->scan;
    size_t at = chunk->from;
    bool escaped = at == 0 && chunk->escaped;
    for (; at < end && scan->model_length < MODEL_BYTES; at++) {
        uint8_t byte = chunk->data[at];
        if (byte == '\\' && !escaped) {
            escaped = true;
        } else {
            scan->model[scan->model_length++] = byte;
            escaped = false;
        }
    }
}

/* Append the bytes of the chunk from `from` to END to the key. */
static void hold_key(struct chunk *chunk, size_t end) {
    struct scan *scan = chunk->scan;
    size_t count = end - chunk->from;
    if (scan->key_length + count > KEY_BYTES || scan->key_length > KEY_BYTES) {
        scan->key_length = KEY_BYTES + 1;
        return;
    }
    memcpy(scan->key + scan->key_length, chunk->data + chunk->from, count);
    scan->key_length += (uint32_t)count;
}

static bool is_spelled(const char *name, const uint8_t *key, size_t length) {
    return strlen(name) == length && memcmp(name, key, length) == 0;
}

static int hex_digit(uint8_t byte) {
    uint8_t lower = byte | 0x20;
    return byte >= '0' && byte <= '9' ? byte - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The member that KEY, which has a backslash, names. `model` is found by dropping backslashes, the others as in JSON,
 * where a letter has one escape alone: \uXXXX. */
static enum member escaped_member(const uint8_t *key, size_t length) {
    uint8_t dropped[KEY_BYTES], decoded[KEY_BYTES];
    size_t dropped_length = 0, decoded_length = 0;
    for (size_t at = 0; at < length; at++) {
        if (key[at] == '\\' && at + 1 < length) at++;
        dropped[dropped_length++] = key[at];
    }
    if (is_spelled("model", dropped, dropped_length)) return MODEL;
    for (size_t at = 0; at < length; at++) {
        uint8_t byte = key[at];
        if (byte == '\\') {
            if (length - at < 6 || key[at + 1] != 'u') return OTHER;
            int code = 0;
            for (int i = 2; i < 6; i++) {
                int digit = hex_digit(key[at + i]);
                if (digit < 0) return OTHER;
                code = code << 4 | digit;
            }
            if (code > 0x7F) return OTHER;
            byte = (uint8_t)code;
            at += 5;
        }
        decoded[decoded_length++] = byte;
    }
    if (is_spelled("stream", decoded, decoded_length)) return STREAM;
    return is_spelled("stream_options", decoded, decoded_length) ? OPTIONS : OTHER;
}

/* The member that the key ending at END in the chunk names. */
static enum member read_key(struct chunk *chunk, size_t end) {
    struct scan *scan = chunk->scan;
    const uint8_t *key = chunk->data + chunk->from;
    size_t length = end - chunk->from;
    if (scan->key_length > 0) {
        hold_key(chunk, end);
        key = scan->key;
        length = scan->key_length;
    }
    if (length > KEY_BYTES) return OTHER;
    if (is_spelled("model", key, length)) return MODEL;
    if (is_spelled("stream", key, length)) return STREAM;
    if (is_spelled("stream_options", key, length)) return OPTIONS;
    return memchr(key, '\\', length) ? escaped_member(key, length) : OTHER;
}

/* The value of `stream` or `stream_options` */

/* Find where the value begins, from AT on in the chunk. */
static void seek_value(struct chunk *chunk, size_t at) {
    struct scan *scan = chunk->scan;
    while (at < chunk->size && (is_space(chunk->data[at]) || chunk->data[at] == ':')) at++;
    scan->value_due = at == chunk->size;
    if (scan->value_due || chunk->data[at] == ',' || (chunk->data[at] | 0x20) == '}') return;
    scan->value_start = (int64_t)(scan->fed + at);
    scan->literal_length = 0;
}

/* Take in what the chunk has of the value, up to END. */
static void read_value(struct chunk *chunk, size_t end) {
    struct scan *scan = chunk->scan;
    size_t start = (uint64_t)scan->value_start > scan->fed ? (uint64_t)scan->value_start - scan->fed : 0;
    size_t last = end;
    while (last > start && is_space(chunk->data[last - 1])) last--;
    if (last > start) scan->value_end = (int64_t)(scan->fed + last);
    while (start < end && scan->literal_length < LITERAL_BYTES) scan->literal[scan->literal_length++] = chunk->data[start++];
}

static enum literal read_literal(const struct scan *scan) {
    int64_t length = scan->value_start < 0 ? 0 : scan->value_end - scan->value_start;
    if (length == 4 && memcmp(scan->literal, "true", 4) == 0) return IS_TRUE;
    return length == 5 && memcmp(scan->literal, "false", 5) == 0 ? IS_FALSE : NO_LITERAL;
}

/* The comma or bracket at AT in the chunk ends a member of the root, if one is open. */
static void end_member(struct chunk *chunk, size_t at) {
    struct scan *scan = chunk->scan;
    if (scan->value_start >= 0) read_value(chunk, at);
    if (scan->member == STREAM) {
        scan->stream = read_literal(scan);
    } else if (scan->member == OPTIONS && scan->value_start >= 0 && scan->option_count < OPTIONS_KEPT) {
        int64_t *span = scan->options[scan->option_count++];
        span[0] = scan->value_start;
        span[1] = scan->value_end;
    }
    scan->member = OTHER;
    scan->value_start = -1;
    scan->value_due = false;
}

/* Tokens at the root, or outside */

static void judge_quote(struct chunk *chunk, size_t at) {
    struct scan *scan = chunk->scan;
    switch (scan->role) {
    case OUTSIDE:
        scan->role = SKIPPED;
        chunk->from = at + 1;
        if (scan->depth == 0) return;
        if (scan->key_due) {
            scan->role = KEY;
            scan->key_length = 0;
            scan->has_member |= scan->root == FIRST_ROOT;
        } else if (scan->member == MODEL && !scan->model_found) {
            scan->role = VALUE;
            scan->model_length = 0;
        }
        return;
    case KEY:
        scan->key_due = false;
        scan->member = read_key(chunk, at);
        if (scan->member == STREAM || scan->member == OPTIONS) {
            if (scan->root == FIRST_ROOT) seek_value(chunk, at + 1);
            else scan->member = OTHER;
        }
        break;
    case VALUE:
        hold_model(chunk, at);
        scan->model_found = true;
        break;
    case SKIPPED:
        break;
    }
    scan->role = OUTSIDE;
}

/* Judge the token at AT in the chunk. */
static void judge(struct chunk *chunk, size_t at) {
    struct scan *scan = chunk->scan;
    uint8_t token = chunk->data[at];
    if (token == '"') {
        judge_quote(chunk, at);
    } else if (token == ',') {
        if (scan->depth == 0) return;
        end_member(chunk, at);
        scan->key_due = true;
    } else if ((token | 0x20) == '{') {
        if (scan->depth == 0) {
            scan->key_due = token == '{';
            scan->floor = scan->key_due;
            scan->root = scan->root == NO_ROOT ? FIRST_ROOT : LATER_ROOT;
        }
        if (scan->member == MODEL) scan->member = OTHER;
        scan->depth++;
    } else if (scan->depth > 0) {
        end_member(chunk, at);
        if (scan->root == FIRST_ROOT) scan->root_end = (int64_t)(scan->fed + at);
        scan->depth = scan->floor = 0;
        scan->key_due = false;
    }
}

/* Blocks */

/* Bit i is the parity of the bits up to i of MASK. */
INLINE uint64_t prefix_xor(uint64_t mask) {
    for (int shift = 1; shift < 64; shift *= 2) mask ^= mask << shift;
    return mask;
}

/* The bytes that a backslash escapes, if all backslashes stand in strings. Subtracting lets a borrow run through each
 * run of backslashes and leaves every second byte, the one after the run included; simdjson has found this. */
INLINE uint64_t escaped_bytes(uint64_t backslashes, bool carry, bool *carry_out) {
    const uint64_t odd = 0xAAAAAAAAAAAAAAAA;
    uint64_t first = carry, escapes = backslashes & ~first;
    uint64_t alternate = ((escapes << 1 | odd) - escapes) ^ odd;
    *carry_out = (alternate & backslashes) >> 63;
    return alternate ^ (backslashes | first);
}

/* The same and what is in strings, one byte after the other: for a block with backslashes outside strings, where they
 * escape nothing. QUOTES become those that are not escaped. */
static uint64_t strings_bytewise(uint64_t *quotes, uint64_t backslashes, bool inside, uint64_t *escaped, bool *carry) {
    uint64_t strings = 0, delimiters = 0;
    bool escape = *carry;
    *escaped = 0;
    for (uint64_t bit = 1; bit != 0; bit <<= 1) {
        if (escape) {
            *escaped |= bit;
            escape = false;
        } else if (*quotes & bit) {
            delimiters |= bit;
            inside = !inside;
        } else {
            escape = inside && (backslashes & bit);
        }
        if (inside) strings |= bit;
    }
    *quotes = delimiters;
    *carry = escape;
    return strings;
}

/* What is in strings of a block of LENGTH bytes, opening quotes included; QUOTES become those that are not escaped. */
INLINE uint64_t find_strings(struct scan *scan, uint64_t *quotes, uint64_t backslashes, size_t length) {
    bool carry = false;
    uint64_t escaped = escaped_bytes(backslashes, scan->escaped, &carry), delimiters = *quotes & ~escaped;
    uint64_t strings = prefix_xor(delimiters) ^ scan->in_string;
    if (__builtin_expect((backslashes & ~strings) != 0, 0)) {
        carry = scan->escaped;
        strings = strings_bytewise(quotes, backslashes, scan->in_string != 0, &escaped, &carry);
    } else {
        *quotes = delimiters;
    }
    scan->escaped = length < BLOCK ? escaped >> length & 1 : carry;
    scan->in_string = 0 - (strings >> 63);
    return strings;
}

/* Go on below the root: find the bit of the bracket that leads back to it, 0 if the block has none. */
INLINE uint64_t climb(struct scan *scan, uint64_t opens, uint64_t closes) {
    uint64_t above = scan->depth - scan->floor, closed = (uint64_t)__builtin_popcountll(closes);
    if (closed >= above) {
        uint64_t count = 0;
        for (uint64_t rest = closes; rest; rest &= rest - 1) {
            uint64_t bit = rest & (0 - rest);
            if (++count == above + (uint64_t)__builtin_popcountll(opens & (bit - 1))) {
                scan->depth = scan->floor;
                return bit;
            }
        }
    }
    scan->depth += (uint64_t)__builtin_popcountll(opens) - closed;
    return 0;
}

/* Read the tokens of the block at AT: all quotes that delimit strings, and brackets and commas outside strings. */
INLINE void read_tokens(struct chunk *chunk, size_t at, uint64_t quotes, uint64_t opens, uint64_t closes, uint64_t commas) {
    struct scan *scan = chunk->scan;
    uint64_t left = ~(uint64_t)0, bit;
    for (;;) {
        if (scan->depth > scan->floor) {
            bit = climb(scan, opens & left, closes & left);
            if (bit == 0) return;
        } else {
            uint64_t tokens = (quotes | opens | closes | commas) & left;
            if (tokens == 0) return;
            bit = tokens & (0 - tokens);
            judge(chunk, at + (size_t)__builtin_ctzll(tokens));
        }
        left = ~(bit | (bit - 1));
    }
}

static void begin_chunk(struct chunk *chunk) {
    chunk->escaped = chunk->scan->escaped;
    if (chunk->scan->value_due) seek_value(chunk, 0);
}

static void end_chunk(struct chunk *chunk) {
    struct scan *scan = chunk->scan;
    if (scan->role == KEY) hold_key(chunk, chunk->size);
    if (scan->role == VALUE) hold_model(chunk, chunk->size);
    if (scan->value_start >= 0) read_value(chunk, chunk->size);
    scan->fed += chunk->size;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The loop over blocks, compiled for each instruction set
 */

#define DEFINE_FEED(SET, TARGET)                                                                                       \
    TARGET INLINE void block_##SET(struct chunk *chunk, const uint8_t *bytes, size_t at, size_t length) {              \
        struct scan *scan = chunk->scan;                                                                               \
        const text_##SET text = load_##SET(bytes), lower = lower_##SET(text);                                          \
        const uint64_t letters = letters_##SET(lower), spaces = equal_##SET(text, ' ');                                \
        scan->words += (uint64_t)__builtin_popcountll((letters << 1 | scan->after_letter) & spaces);                   \
        scan->after_letter = letters >> (length - 1) & 1;                                                              \
        uint64_t quotes = equal_##SET(text, '"');                                                                      \
        const uint64_t backslashes = equal_##SET(text, '\\');                                                          \
        if ((quotes | backslashes) == 0 && scan->in_string) {                                                          \
            scan->escaped = false;                                                                                     \
            return;                                                                                                    \
        }                                                                                                              \
        const uint64_t outside = ~find_strings(scan, &quotes, backslashes, length);                                    \
        read_tokens(chunk, at, quotes, equal_##SET(lower, '{') & outside, equal_##SET(lower, '}') & outside,           \
                    equal_##SET(text, ',') & outside);                                                                 \
    }                                                                                                                  \
                                                                                                                       \
    TARGET static void feed_##SET(struct scan *scan, const uint8_t *data, size_t size) {                               \
        struct chunk chunk = {.scan = scan, .data = data, .size = size};                                               \
        begin_chunk(&chunk);                                                                                           \
        size_t at = 0;                                                                                                 \
        for (; size - at >= BLOCK; at += BLOCK) block_##SET(&chunk, data + at, at, BLOCK);                             \
        if (at < size) {                                                                                               \
            uint8_t rest[BLOCK] = {0};                                                                                 \
            memcpy(rest, data + at, size - at);                                                                        \
            block_##SET(&chunk, rest, at, size - at);                                                                  \
        }                                                                                                              \
        end_chunk(&chunk);                                                                                             \
    }

typedef void feed_function(struct scan *scan, const uint8_t *data, size_t size);

struct instruction_set {
    const char *name;
    feed_function *feed;
    bool (*available)(void);
};

static bool always(void) {
    return true;
}

DEFINE_FEED(portable, )

#if defined(__x86_64__)
DEFINE_FEED(sse2, )
DEFINE_FEED(avx2, AVX2)

static bool has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
}
#elif defined(__aarch64__)
DEFINE_FEED(neon, )
#endif

/* Best first. */
static const struct instruction_set INSTRUCTION_SETS[] = {
#if defined(__x86_64__)
    {"avx2", feed_avx2, has_avx2},
    {"sse2", feed_sse2, always},
#elif defined(__aarch64__)
    {"neon", feed_neon, always},
#endif
    {"portable", feed_portable, always},
};

enum { SETS = sizeof INSTRUCTION_SETS / sizeof *INSTRUCTION_SETS };

/* ------------------------------------------------------------------------------------------------------------------
 * The Python type
 */

#ifndef SCANNER_WITHOUT_PYTHON

enum { UNLOCKED_BYTES = 64 * 1024 }; /* from this size on, a chunk is scanned without the GIL */

typedef struct {
    PyObject_HEAD
    feed_function *feed;
    bool busy; /* a thread is scanning without the GIL */
    struct scan scan;
} Scanner;

static PyObject *set_names(void) {
    PyObject *names = PyList_New(0);
    if (names == NULL) return NULL;
    for (int i = 0; i < SETS; i++) {
        if (!INSTRUCTION_SETS[i].available()) continue;
        PyObject *name = PyUnicode_FromString(INSTRUCTION_SETS[i].name);
        if (name == NULL || PyList_Append(names, name) < 0) {
            Py_XDECREF(name);
            Py_DECREF(names);
            return NULL;
        }
        Py_DECREF(name);
    }
    PyObject *tuple = PyList_AsTuple(names);
    Py_DECREF(names);
    return tuple;
}

/* The set called NAME, the best one for NULL; NULL and ValueError where this machine has none of that name. */
static const struct instruction_set *find_set(const char *name) {
    for (int i = 0; i < SETS; i++) {
        const struct instruction_set *set = &INSTRUCTION_SETS[i];
        if ((name == NULL || strcmp(name, set->name) == 0) && set->available()) return set;
    }
    PyObject *names = set_names();
    if (names != NULL) PyErr_Format(PyExc_ValueError, "no instruction set '%s' on this machine, only %R", name, names);
    Py_XDECREF(names);
    return NULL;
}

static PyObject *scanner_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"instruction_set", NULL};
    const char *name = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|z:Scanner", keywords, &name)) return NULL;
    const struct instruction_set *set = find_set(name);
    if (set == NULL) return NULL;
    Scanner *self = (Scanner *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL) return NULL;
    self->feed = set->feed;
    start_scan(&self->scan);
    return (PyObject *)self;
}

static int scanner_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void scanner_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* The state of the scanner SELF; NULL and RuntimeError while another thread changes it. */
static struct scan *scan_of(PyObject *self) {
    Scanner *scanner = (Scanner *)self;
    if (!scanner->busy) return &scanner->scan;
    PyErr_SetString(PyExc_RuntimeError, "another thread is feeding this scanner: use one scanner for each body");
    return NULL;
}

static void scan_bytes(Scanner *self, const uint8_t *data, Py_ssize_t size) {
    if (size < UNLOCKED_BYTES) {
        self->feed(&self->scan, data, (size_t)size);
        return;
    }
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    self->feed(&self->scan, data, (size_t)size);
    Py_END_ALLOW_THREADS
    self->busy = false;
}

static PyObject *scanner_feed(PyObject *self, PyObject *data) {
    if (PyBytes_Check(data)) {
        char *bytes;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(data, &bytes, &size) < 0 || scan_of(self) == NULL) return NULL;
        scan_bytes((Scanner *)self, (const uint8_t *)bytes, size);
    } else {
        Py_buffer view;
        if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return NULL;
        bool idle = scan_of(self) != NULL; /* getting the buffer may have run other code */
        if (idle) scan_bytes((Scanner *)self, view.buf, view.len);
        PyBuffer_Release(&view);
        if (!idle) return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *get_model(PyObject *self, void *Py_UNUSED(closure)) {
    const struct scan *scan = scan_of(self);
    if (scan == NULL) return NULL;
    if (!scan->model_found) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)scan->model, scan->model_length);
}

static PyObject *get_stream(PyObject *self, void *Py_UNUSED(closure)) {
    const struct scan *scan = scan_of(self);
    if (scan == NULL) return NULL;
    if (scan->stream == NO_LITERAL) Py_RETURN_NONE;
    return PyBool_FromLong(scan->stream);
}

static PyObject *get_options(PyObject *self, void *Py_UNUSED(closure)) {
    const struct scan *scan = scan_of(self);
    if (scan == NULL) return NULL;
    PyObject *options = PyTuple_New(scan->option_count);
    for (uint32_t i = 0; options != NULL && i < scan->option_count; i++) {
        PyObject *span = Py_BuildValue("(LL)", (long long)scan->options[i][0], (long long)scan->options[i][1]);
        if (span == NULL) Py_CLEAR(options);
        else PyTuple_SetItem(options, i, span);
    }
    return options;
}

static PyObject *get_open_option(PyObject *self, void *Py_UNUSED(closure)) {
    const struct scan *scan = scan_of(self);
    return scan == NULL ? NULL : PyLong_FromLongLong(scan->member == OPTIONS ? scan->value_start : -1);
}

static PyObject *get_root_end(PyObject *self, void *Py_UNUSED(closure)) {
    const struct scan *scan = scan_of(self);
    return scan == NULL ? NULL : PyLong_FromLongLong(scan->root_end);
}

static PyObject *get_root_empty(PyObject *self, void *Py_UNUSED(closure)) {
    const struct scan *scan = scan_of(self);
    return scan == NULL ? NULL : PyBool_FromLong(!scan->has_member);
}

static PyObject *get_words(PyObject *self, void *Py_UNUSED(closure)) {
    const struct scan *scan = scan_of(self);
    return scan == NULL ? NULL : PyLong_FromUnsignedLongLong(scan->words);
}

static PyMethodDef scanner_methods[] = {
    {"feed", scanner_feed, METH_O, "feed($self, data, /)\n--\n\nLook at the next DATA of the body, any buffer."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef scanner_attributes[] = {
    {"model", get_model, NULL, NULL, NULL},
    {"stream", get_stream, NULL, NULL, NULL},
    {"options", get_options, NULL, NULL, NULL},
    {"open_option", get_open_option, NULL, NULL, NULL},
    {"root_end", get_root_end, NULL, NULL, NULL},
    {"root_empty", get_root_empty, NULL, NULL, NULL},
    {"words", get_words, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot scanner_slots[] = {
    {Py_tp_doc, "Scanner(instruction_set=None)\n--\n\nImplements the seam `beyond_ai.Scanner`; one for each body."},
    {Py_tp_new, scanner_new},
    {Py_tp_dealloc, scanner_dealloc},
    {Py_tp_traverse, scanner_traverse},
    {Py_tp_methods, scanner_methods},
    {Py_tp_getset, scanner_attributes},
    {0, NULL},
};

static PyType_Spec scanner_spec = {
    .name = "beyond_ai_plugins.scanners.simd._simd.Scanner",
    .basicsize = sizeof(Scanner),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = scanner_slots,
};

static PyObject *instruction_set(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing)) {
    return PyUnicode_FromString(find_set(NULL)->name);
}

static PyObject *instruction_sets(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing)) {
    return set_names();
}

static PyMethodDef module_functions[] = {
    {"instruction_set", instruction_set, METH_NOARGS,
     "instruction_set()\n--\n\nThe one that scanners use on this machine unless told otherwise."},
    {"instruction_sets", instruction_sets, METH_NOARGS,
     "instruction_sets()\n--\n\nAll that can be used on this machine, best first."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &scanner_spec, NULL);
    if (type == NULL) return -1;
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_simd",
    .m_doc = "Scans request bodies with the CPU's vector instructions.",
    .m_methods = module_functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__simd(void) {
    return PyModuleDef_Init(&module_definition);
}

#endif
