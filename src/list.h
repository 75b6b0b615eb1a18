/*
 * list.h - the intrusive doubly linked list, the only list of the program.
 *
 * A `struct list` is both head and link. A head is initialised with list_init and is empty when it
 * points at itself; a link that is in no list is zeroed or initialised. No allocation, no locking:
 * the owner of the head documents which lock protects the list.
 */
#ifndef GHLOGFS_LIST_H
#define GHLOGFS_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

/* The object of type `type` whose member `member` is the link `ptr`. */
#define list_entry(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Iterates over a list; the current link must not be removed. */
#define list_each(pos, head) for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

/* The same; the current link may be removed. */
#define list_each_safe(pos, head)                                                                  \
    for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head);                  \
         pos = pos##_next, pos##_next = pos->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

/* Whether a link (not a head) is in a list. */
static inline bool list_is_linked(const struct list *link)
{
    return link->next && link->next != link;
}

static inline void list_insert_after(struct list *at, struct list *link)
{
    link->prev = at;
    link->next = at->next;
    at->next->prev = link;
    at->next = link;
}

static inline void list_push_back(struct list *head, struct list *link)
{
    list_insert_after(head->prev, link);
}

static inline void list_push_front(struct list *head, struct list *link)
{
    list_insert_after(head, link);
}

/* Takes a link out of its list; harmless for one that is in none. */
static inline void list_remove(struct list *link)
{
    if (!link->next)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

static inline struct list *list_take_first(struct list *head)
{
    struct list *first = head->next;
    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}

/* Moves everything from `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
