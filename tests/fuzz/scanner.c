/* Fuzzes the native scanner: with every instruction set, in chunks of random sizes, it has to find in any input what
 * the portable one finds byte by byte. Each chunk has an allocation of its own, so that AddressSanitizer sees every
 * read beyond one.
 *
 * For libFuzzer (clang -fsanitize=fuzzer), or with STANDALONE defined as a program of its own for any compiler:
 *
 *     scanner SECONDS [SEED]      fuzzes with inputs made of fragments of JSON
 *     scanner FILE...             reads inputs again that libFuzzer or this program has kept
 *
 * An input is four bytes that decide where it is cut, and the body.
 */

#define SCANNER_WITHOUT_PYTHON
#include "_simd.c"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SEED_BYTES = 4, MAX_INPUT = 4096 };

/* A linear congruential generator (Knuth's MMIX); its upper bits are random enough to cut and mix. */
static uint32_t draw(uint64_t *state, uint32_t below) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 33) % below);
}

/* Comparing */

/* The first thing in which the scans differ; NULL if they say the same and are in the same state. */
static const char *difference(const struct scan *a, const struct scan *b) {
    if (a->fed != b->fed) return "fed";
    if (a->words != b->words || a->after_letter != b->after_letter) return "words";
    if (a->in_string != b->in_string || a->escaped != b->escaped) return "in_string";
    if (a->depth != b->depth || a->floor != b->floor || a->root != b->root) return "depth";
    if (a->root_end != b->root_end || a->has_member != b->has_member) return "root";
    if (a->role != b->role || a->key_due != b->key_due || a->member != b->member) return "member";
    if (a->model_found != b->model_found) return "model";
    if (a->model_found && (a->model_length != b->model_length || memcmp(a->model, b->model, a->model_length) != 0))
        return "model";
    if (a->stream != b->stream) return "stream";
    if (a->value_due != b->value_due || a->value_start != b->value_start) return "value_start";
    if (a->value_start >= 0 && a->value_end != b->value_end) return "value_end";
    if (a->option_count != b->option_count) return "options";
    return memcmp(a->options, b->options, a->option_count * sizeof *a->options) == 0 ? NULL : "options";
}

static void compare(const struct scan *expected, const struct scan *found, const char *name, size_t at) {
    const char *what = difference(expected, found);
    if (what == NULL) return;
    fprintf(stderr, "scanner: %s differs in `%s` after %zu bytes\n", name, what, at);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint32_t SIZES[] = {1, 3, 20, 64, 65, 130, 1000, MAX_INPUT};
    if (size < SEED_BYTES) return 0;
    uint64_t seed = 0;
    for (int i = 0; i < SEED_BYTES; i++) seed = seed << 8 | *data++;
    size -= SEED_BYTES;
    uint32_t most = SIZES[draw(&seed, sizeof SIZES / sizeof *SIZES)];
    struct scan scans[SETS] = {0}, expected = {0};
    start_scan(&expected);
    for (int i = 0; i < SETS; i++) start_scan(&scans[i]);
    for (size_t at = 0; at < size;) {
        size_t count = draw(&seed, most + 1);
        if (count > size - at) count = size - at;
        uint8_t *chunk = malloc(count + (count == 0));
        if (chunk == NULL) abort();
        memcpy(chunk, data + at, count);
        for (size_t i = 0; i < count; i++) feed_portable(&expected, data + at + i, 1);
        at += count;
        for (int i = 0; i < SETS; i++) {
            if (!INSTRUCTION_SETS[i].available()) continue;
            INSTRUCTION_SETS[i].feed(&scans[i], chunk, count);
            compare(&expected, &scans[i], INSTRUCTION_SETS[i].name, at);
        }
        free(chunk);
    }
    return 0;
}

/* Making inputs */

static const char *const FRAGMENTS[] = {
    "\"", "\\", "{", "}", "[", "]", ",", ":", " ", "\n", "\\\"", "\\\\", "a ", "\"\"", "{\"", "\":", ",\"", "\",", "}}",
    "\"model\"", "\"model\":\"gpt\",", "\"mod\\el\"", "{\"model\":", "\"stream\"", "\"stream\":true,", "\"stream\":false}",
    "\"\\u0073tream\":", "\"stream_options\"", "\"stream_options\":{\"include_usage\":true},", "\"stream\\u005Foptions\":",
    "true", "false", "null", "[{\"role\":\"user\",\"content\":\"", "\"}],", "\\u00e9", "\xc3\xa9", "[[[[[[[[", "]]]]]]]]",
    "    \t\r\n   ", "some words in a row, and more of them: long enough to fill a block or nearly ",
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":[\"integer\",\"null\"]}}}",
};

/* Insert a fragment, or several times the same, somewhere into the input; returns the new size. */
static size_t insert_fragment(uint8_t *data, size_t size, size_t max_size, uint64_t *seed) {
    const char *fragment = FRAGMENTS[draw(seed, sizeof FRAGMENTS / sizeof *FRAGMENTS)];
    size_t length = strlen(fragment), at = draw(seed, 2) ? size : draw(seed, (uint32_t)size + 1);
    for (uint32_t times = draw(seed, 8) ? 1 : draw(seed, 100); times > 0 && size + length <= max_size; times--) {
        memmove(data + at + length, data + at, size - at);
        memcpy(data + at, fragment, length);
        size += length;
    }
    return size;
}

#ifdef STANDALONE

static void read_again(const char *path) {
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    printf("%s: no difference\n", path);
}

/* The input that is being tried is kept in a file, since the program may not survive it. */
static void try_input(const uint8_t *data, size_t size) {
    FILE *file = fopen("scanner-input", "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        perror("scanner-input");
        exit(2);
    }
    LLVMFuzzerTestOneInput(data, size);
}

int main(int count, char **arguments) {
    char *end = NULL;
    long seconds = count > 1 ? strtol(arguments[1], &end, 10) : 0;
    if (count < 2) {
        fprintf(stderr, "usage: %s SECONDS [SEED] | FILE...\n", arguments[0]);
        return 2;
    }
    if (*end != '\0') {
        for (int i = 1; i < count; i++) read_again(arguments[i]);
        return 0;
    }
    uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    unsigned long inputs = 0;
    for (time_t start = time(NULL); time(NULL) - start < seconds; inputs++) {
        uint8_t data[MAX_INPUT];
        size_t size = 0;
        while (size < SEED_BYTES) data[size++] = (uint8_t)draw(&seed, 256);
        if (draw(&seed, 4)) data[size++] = '{';
        for (uint32_t steps = draw(&seed, 60); steps > 0; steps--) {
            if (draw(&seed, 20) == 0 && size > SEED_BYTES)
                data[SEED_BYTES + draw(&seed, (uint32_t)(size - SEED_BYTES))] = (uint8_t)draw(&seed, 256);
            else
                size = SEED_BYTES + insert_fragment(data + SEED_BYTES, size - SEED_BYTES, sizeof data - SEED_BYTES, &seed);
        }
        try_input(data, size);
    }
    remove("scanner-input");
    printf("%lu inputs, no difference\n", inputs);
    return 0;
}

#else

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    uint64_t state = seed;
    if (size < SEED_BYTES || draw(&state, 2)) return LLVMFuzzerMutate(data, size, max_size);
    return SEED_BYTES + insert_fragment(data + SEED_BYTES, size - SEED_BYTES, max_size - SEED_BYTES, &state);
}

#endif
