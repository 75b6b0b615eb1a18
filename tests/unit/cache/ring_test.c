/* The ring between the network thread and the writer. */
#include "cache/ring.h"
#include "fake_source.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ring ring;

static int open_ring(void **state)
{
    (void)state;
    return ring_init(&ring);
}

static int close_ring(void **state)
{
    (void)state;
    ring_finish(&ring);
    return 0;
}

static void piece_comes_out_unchanged(void **state)
{
    struct ring_piece piece;
    int owner;

    (void)state;
    assert_false(ring_peek(&ring, &piece));
    assert_true(ring_put(&ring, &owner, 12345, "hello", 5));
    assert_true(ring_peek(&ring, &piece));
    assert_ptr_equal(piece.owner, &owner);
    assert_int_equal(piece.offset, 12345);
    assert_int_equal(piece.len, 5);
    assert_memory_equal(piece.data, "hello", 5);
    assert_true(ring_consumed(&ring) < ring_position(&ring));
    assert_false(ring_release(&ring));
    assert_false(ring_peek(&ring, &piece));
    assert_true(ring_consumed(&ring) == ring_position(&ring));
}

static void full_ring_refuses_and_reports_when_there_is_space(void **state)
{
    static char data[64 * 1024];
    struct ring_piece piece;
    unsigned put = 0, released = 0;

    (void)state;
    while (ring_put(&ring, NULL, put, data, sizeof(data)))
        put++;
    assert_true(put >= 60 && put <= RING_SIZE / sizeof(data));
    while (ring_peek(&ring, &piece)) {
        assert_int_equal(piece.offset, released);
        released++;
        if (ring_release(&ring))
            break;
    }
    /* Not for each piece, but long before the ring is empty. */
    assert_true(released > 1 && released <= put / 2 + 2);
    assert_true(ring_put(&ring, NULL, 0, data, sizeof(data)));
    while (ring_peek(&ring, &piece))
        assert_false(ring_release(&ring)); /* no producer was refused since */
}

/* Pieces are joined if they are of one owner, without a gap, up to a bound. */
static void pieces_that_continue_each_other_are_joined(void **state)
{
    static unsigned char data[RING_PIECE_MAX / 4];
    struct ring_piece piece;
    int one, other;

    (void)state;
    for (uint64_t at = 0; at < 6; at++) {
        fake_fill(3, at * sizeof(data), data, sizeof(data));
        assert_true(ring_put(&ring, &one, at * sizeof(data), data, sizeof(data)));
    }
    assert_true(ring_put(&ring, &other, 6 * sizeof(data), data, sizeof(data)));
    assert_true(ring_put(&ring, &other, 8 * sizeof(data), data, sizeof(data)));
    for (unsigned i = 0; i < 4; i++) {
        static const uint64_t offset[] = {0, 4, 6, 8}, len[] = {4, 2, 1, 1};
        assert_true(ring_peek(&ring, &piece));
        assert_ptr_equal(piece.owner, i < 2 ? &one : &other);
        assert_true(piece.offset == offset[i] * sizeof(data));
        assert_true(piece.len == len[i] * sizeof(data));
        assert_true(i >= 2 || fake_holds(3, piece.offset, piece.data, piece.len));
        ring_release(&ring);
    }
    assert_false(ring_peek(&ring, &piece));
}

/* Peeked again a piece may have grown; what is released is what was seen last. */
static void piece_grows_until_it_is_released(void **state)
{
    struct ring_piece piece;

    (void)state;
    assert_true(ring_put(&ring, NULL, 0, "abc", 3));
    assert_true(ring_peek(&ring, &piece));
    assert_true(ring_put(&ring, NULL, 3, "de", 2));
    ring_release(&ring);
    assert_true(ring_peek(&ring, &piece));
    assert_int_equal(piece.offset, 3);
    assert_true(ring_put(&ring, NULL, 5, "f", 1));
    assert_true(ring_peek(&ring, &piece));
    assert_int_equal(piece.len, 3);
    assert_memory_equal(piece.data, "def", 3);
    ring_release(&ring);
    assert_true(ring_consumed(&ring) == ring_position(&ring));
}

/* A server that sends byte by byte fills the ring too, and is resumed when there is space. */
static void many_small_pieces_are_refused_as_well(void **state)
{
    struct ring_piece piece;
    unsigned put = 0, released = 0;

    (void)state;
    while (ring_put(&ring, NULL, 2 * put, "x", 1))
        assert_true(++put < RING_PIECES);
    do {
        assert_true(ring_peek(&ring, &piece));
        assert_int_equal(piece.offset, 2 * released);
        released++;
    } while (!ring_release(&ring));
    assert_true(released < put);
    assert_true(ring_put(&ring, NULL, 0, "x", 1));
}

/* Takes out what one owner has put, and compares it. */
static void take_out(const void *owner, uint64_t offset, size_t len)
{
    struct ring_piece piece;

    for (size_t got = 0; got < len; got += piece.len) {
        assert_true(ring_peek(&ring, &piece));
        assert_ptr_equal(piece.owner, owner);
        assert_true(piece.offset == offset + got && piece.len <= len - got);
        assert_true(fake_holds(1, piece.offset, piece.data, piece.len));
        ring_release(&ring);
    }
}

/* Each length at each place of the edge: nothing is lost. There is always one more piece in the
 * ring, for an empty ring has no edge. */
static void bytes_survive_the_edge(void **state)
{
    static unsigned char data[5000];
    uint64_t offset = 0;
    size_t before = 0;
    char owners[2];

    (void)state;
    for (unsigned turn = 0; offset < 12 * RING_SIZE; turn++) {
        size_t len = turn * 37 % sizeof(data) + 1;
        fake_fill(1, offset, data, len);
        assert_true(ring_put(&ring, &owners[turn % 2], offset, data, len));
        take_out(&owners[(turn + 1) % 2], offset - before, before);
        offset += len;
        before = len;
    }
}

/* A process whose writer keeps up never touches most of the ring's memory. */
static void empty_ring_continues_at_its_start(void **state)
{
    static char data[100000];
    struct ring_piece piece;

    (void)state;
    for (uint64_t offset = 0; offset < 3 * RING_SIZE; offset += sizeof(data)) {
        uint64_t before = ring_position(&ring);
        assert_true(ring_put(&ring, NULL, offset, data, sizeof(data)));
        assert_true(before < ring_position(&ring) && ring_consumed(&ring) < ring_position(&ring));
        assert_true(ring_peek(&ring, &piece));
        assert_ptr_equal(piece.data, ring.memory);
        assert_int_equal(piece.len, sizeof(data));
        ring_release(&ring);
        assert_true(ring_consumed(&ring) == ring_position(&ring));
    }
}

#define STREAM (UINT64_C(40) << 20)

struct stream {
    pthread_mutex_t lock;
    pthread_cond_t space;
    unsigned spaces; /* lock */
};

/* Sleeps until there is space, as the network thread does: a lost wakeup would be a hang. */
static void *produce(void *arg)
{
    struct stream *s = arg;
    static unsigned char data[70000];

    for (uint64_t at = 0, turn = 0; at < STREAM; turn++) {
        size_t len = turn * 7919 % sizeof(data) + 1;
        unsigned spaces;
        if (len > STREAM - at)
            len = (size_t)(STREAM - at);
        fake_fill(2, at, data, len);
        pthread_mutex_lock(&s->lock);
        spaces = s->spaces;
        pthread_mutex_unlock(&s->lock);
        if (ring_put(&ring, NULL, at, data, len)) {
            at += len;
            continue;
        }
        pthread_mutex_lock(&s->lock);
        while (s->spaces == spaces)
            pthread_cond_wait(&s->space, &s->lock);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static void two_threads_lose_no_byte_and_no_wakeup(void **state)
{
    struct stream s = {.lock = PTHREAD_MUTEX_INITIALIZER, .space = PTHREAD_COND_INITIALIZER};
    struct ring_piece piece;
    pthread_t thread;
    uint64_t at = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, produce, &s), 0);
    while (at < STREAM) {
        if (!ring_peek(&ring, &piece)) {
            sched_yield();
            continue;
        }
        assert_true(piece.offset == at);
        assert_true(fake_holds(2, at, piece.data, piece.len));
        at += piece.len;
        if (ring_release(&ring)) {
            pthread_mutex_lock(&s.lock);
            s.spaces++;
            pthread_cond_signal(&s.space);
            pthread_mutex_unlock(&s.lock);
        }
    }
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(piece_comes_out_unchanged, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(full_ring_refuses_and_reports_when_there_is_space,
                                        open_ring, close_ring),
        cmocka_unit_test_setup_teardown(pieces_that_continue_each_other_are_joined, open_ring,
                                        close_ring),
        cmocka_unit_test_setup_teardown(piece_grows_until_it_is_released, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(many_small_pieces_are_refused_as_well, open_ring,
                                        close_ring),
        cmocka_unit_test_setup_teardown(bytes_survive_the_edge, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(empty_ring_continues_at_its_start, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(two_threads_lose_no_byte_and_no_wakeup, open_ring,
                                        close_ring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
