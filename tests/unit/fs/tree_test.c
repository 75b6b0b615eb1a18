/* The tree: nodes interned and counted, their numbers stable. The vnodes are the test's own. */
#include "fs/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <malloc.h>

/* Stands in for views: a vnode is known by its job, and owns its text. Each node owns one vnode, so
 * the vnodes that exist count the nodes. */

static int vnodes;

void views_vnode_finish(struct vnode *p)
{
    free(p->text);
    p->text = NULL;
    vnodes--;
}

void views_vnode_renew(struct vnode *p, const struct vnode *same)
{
    assert_int_equal(p->sum, same->sum);
}

/* Poor on purpose: many names share a number, as happens with any hash. */
uint64_t views_ino(uint64_t parent_ino, const char *name)
{
    uint64_t h = parent_ino * 31;

    while (*name)
        h = h * 31 + (unsigned char)*name++;
    return h % 50021 + 2;
}

static struct vnode make_vnode(uint64_t job)
{
    vnodes++;
    return (struct vnode){.kind = VNODE_JOB, .job = job, .text = strdup("owned")};
}

static struct node *look_up(struct tree *t, struct node *parent, const char *name, uint64_t job)
{
    struct vnode vnode = make_vnode(job);
    struct node *n = NULL;

    assert_int_equal(tree_intern(t, parent, name, &vnode, &n), 0);
    return n;
}

static struct tree *make_tree(void)
{
    struct tree *t = NULL;

    vnodes = 1; /* the root's */
    assert_int_equal(tree_create(&t), 0);
    return t;
}

static struct node *root_of(struct tree *t)
{
    return tree_get_node(t, TREE_ROOT_ID);
}

static void test_root_has_the_number_fuse_gives_it(void **state)
{
    struct tree *t = make_tree();

    (void)state;
    assert_int_equal(tree_get_id(t, root_of(t)), TREE_ROOT_ID);
    assert_int_equal(root_of(t)->ino, TREE_ROOT_ID);
    assert_null(root_of(t)->parent);
    tree_forget(t, root_of(t), 5);
    assert_int_equal(vnodes, 1);
    tree_destroy(t);
}

static void test_same_name_is_same_node_until_forgotten(void **state)
{
    struct tree *t = make_tree();
    struct node *a = look_up(t, root_of(t), "a", 1);
    uint64_t id = tree_get_id(t, a);

    (void)state;
    assert_ptr_equal(look_up(t, root_of(t), "a", 1), a);
    assert_ptr_equal(tree_get_node(t, id), a);
    assert_ptr_not_equal(look_up(t, root_of(t), "A", 1), a);
    assert_int_equal(vnodes, 3);
    tree_forget(t, a, 1);
    assert_ptr_equal(look_up(t, root_of(t), "a", 1), a);
    tree_forget(t, a, 2);
    assert_int_equal(vnodes, 2);
    tree_destroy(t);
}

static void test_node_keeps_its_ancestors(void **state)
{
    struct tree *t = make_tree();
    struct node *a = look_up(t, root_of(t), "a", 1);
    struct node *b = look_up(t, a, "b", 2);
    struct node *c = look_up(t, b, "c", 3);

    (void)state;
    tree_forget(t, a, 1);
    tree_forget(t, b, 1);
    assert_int_equal(vnodes, 4);
    assert_int_equal(c->parent->parent->vnode.job, 1);
    assert_ptr_equal(look_up(t, root_of(t), "a", 1), a);
    tree_forget(t, a, 1);
    tree_forget(t, c, 1);
    assert_int_equal(vnodes, 1);
    tree_destroy(t);
}

/* A job of a newer attempt under an old name: readers of the old node keep the old vnode. */
static void test_name_with_a_new_meaning_is_a_new_node(void **state)
{
    struct tree *t = make_tree();
    struct node *old = look_up(t, root_of(t), "build", 1);
    struct node *below = look_up(t, old, "log", 1);
    struct node *new = look_up(t, root_of(t), "build", 2);

    (void)state;
    assert_ptr_not_equal(old, new);
    assert_int_equal(old->vnode.job, 1);
    assert_int_equal(new->vnode.job, 2);
    assert_int_equal(old->ino, new->ino);
    assert_ptr_equal(look_up(t, root_of(t), "build", 2), new);
    assert_ptr_not_equal(look_up(t, new, "log", 1), below);
    tree_forget(t, below, 1);
    tree_forget(t, old, 1);
    assert_int_equal(vnodes, 3);
    tree_destroy(t);
}

/* S7: what GNU tar compares before and after it reads a directory. */
static void test_s7_time_of_an_open_directory_stays(void **state)
{
    struct tree *t = make_tree();
    struct node *n = look_up(t, root_of(t), "run", 1);

    (void)state;
    assert_int_equal(tree_show_time(t, n, 10), 10);
    assert_int_equal(tree_show_time(t, n, 20), 20);
    tree_opened(t, n);
    tree_opened(t, n);
    assert_int_equal(tree_show_time(t, n, 30), 20);
    tree_released(t, n);
    assert_int_equal(tree_show_time(t, n, 30), 20);
    tree_released(t, n);
    assert_int_equal(tree_show_time(t, n, 30), 30);
    assert_int_equal(tree_show_time(t, n, 40), 40);
    tree_destroy(t);
}

static void test_s7_first_time_of_an_open_directory_stays(void **state)
{
    struct tree *t = make_tree();

    (void)state;
    tree_opened(t, root_of(t));
    assert_int_equal(tree_show_time(t, root_of(t), 10), 10);
    assert_int_equal(tree_show_time(t, root_of(t), 20), 10);
    tree_released(t, root_of(t));
    tree_destroy(t);
}

/* The steps of a job were reported anew: what the kernel has of the old file is no part of the new
 * one. */
static void test_step_that_is_cut_anew_is_a_new_node(void **state)
{
    struct tree *t = make_tree();
    struct vnode first = {.kind = VNODE_STEP, .step = 2, .cut = 7}, second = first;
    struct node *old, *new, *again;

    (void)state;
    second.cut = 8;
    assert_int_equal(tree_intern(t, root_of(t), "02-Run make.txt", &first, &old), 0);
    assert_int_equal(tree_intern(t, root_of(t), "02-Run make.txt", &second, &new), 0);
    assert_int_equal(tree_intern(t, root_of(t), "02-Run make.txt", &second, &again), 0);
    assert_ptr_not_equal(old, new);
    assert_ptr_equal(new, again);
    assert_int_equal(old->ino, new->ino);
    tree_destroy(t);
}

#define MANY 100000

/* The kernel keeps one size and one set of pages for a node. */
static void test_another_text_is_another_node(void **state)
{
    struct tree *t = make_tree();
    struct node *n[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct vnode vnode = {.kind = VNODE_STATS, .size = 10, .sum = i / 2};
        assert_int_equal(tree_intern(t, root_of(t), "stats", &vnode, &n[i]), 0);
    }
    assert_ptr_equal(n[0], n[1]);
    assert_ptr_not_equal(n[1], n[2]);
    assert_int_equal(n[1]->ino, n[2]->ino);
    assert_int_equal(n[1]->vnode.sum, 0);
    tree_destroy(t);
}

static size_t used_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* S16, and memory: what is forgotten is gone, and so is the table that was for so many. */
static void test_100000_nodes_keep_their_numbers_and_go(void **state)
{
    struct node **nodes = calloc(MANY, sizeof(*nodes));
    struct tree *t = make_tree();
    size_t before = used_bytes();
    char name[32];

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "job-%zu", i);
        nodes[i] = look_up(t, root_of(t), name, i);
    }
    assert_int_equal(vnodes, MANY + 1);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "job-%zu", i);
        assert_ptr_equal(look_up(t, root_of(t), name, i), nodes[i]);
        assert_int_equal(nodes[i]->ino, views_ino(TREE_ROOT_ID, name));
    }
    for (size_t i = 0; i < MANY; i++)
        tree_forget(t, nodes[i], 2);
    assert_int_equal(vnodes, 1);
    assert_true(used_bytes() < before + 65536);
    /* And what comes after is found as before. */
    assert_ptr_equal(look_up(t, root_of(t), "again", 1), look_up(t, root_of(t), "again", 1));
    tree_destroy(t);
    free(nodes);
}

static void test_destroy_ends_what_the_kernel_still_counts(void **state)
{
    struct tree *t = make_tree();
    struct node *a = look_up(t, root_of(t), "a", 1);

    (void)state;
    look_up(t, look_up(t, a, "b", 2), "c", 3);
    look_up(t, root_of(t), "a", 4);
    tree_destroy(t);
    assert_int_equal(vnodes, 0);
    tree_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root_has_the_number_fuse_gives_it),
        cmocka_unit_test(test_same_name_is_same_node_until_forgotten),
        cmocka_unit_test(test_node_keeps_its_ancestors),
        cmocka_unit_test(test_name_with_a_new_meaning_is_a_new_node),
        cmocka_unit_test(test_s7_time_of_an_open_directory_stays),
        cmocka_unit_test(test_s7_first_time_of_an_open_directory_stays),
        cmocka_unit_test(test_another_text_is_another_node),
        cmocka_unit_test(test_step_that_is_cut_anew_is_a_new_node),
        cmocka_unit_test(test_100000_nodes_keep_their_numbers_and_go),
        cmocka_unit_test(test_destroy_ends_what_the_kernel_still_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
