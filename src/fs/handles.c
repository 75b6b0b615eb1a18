#include "fs/handles.h"

#include <errno.h>
#include <stdlib.h>

static void end(struct view_file *file, struct view_listing *listing)
{
    if (file)
        views_close(file);
    if (listing)
        views_listing_release(listing);
}

static void handle_destroy(struct handle *h)
{
    end(h->file, h->listing);
    free(h);
}

int handles_init(struct handles *all)
{
    list_init(&all->open);
    return -pthread_mutex_init(&all->lock, NULL);
}

void handles_finish(struct handles *all)
{
    struct list *link;

    while ((link = list_take_first(&all->open)))
        handle_destroy(list_entry(link, struct handle, in_open));
    pthread_mutex_destroy(&all->lock);
}

int handles_open(struct handles *all, struct view_file *file, struct view_listing *listing,
                 uint64_t *ret_number)
{
    struct handle *h = calloc(1, sizeof(*h));

    if (!h) {
        end(file, listing);
        return -ENOMEM;
    }
    h->file = file;
    h->listing = listing;
    pthread_mutex_lock(&all->lock);
    list_push_back(&all->open, &h->in_open);
    pthread_mutex_unlock(&all->lock);
    *ret_number = (uintptr_t)h;
    return 0;
}

void handles_close(struct handles *all, uint64_t number)
{
    struct handle *h = handles_get(number);

    pthread_mutex_lock(&all->lock);
    list_remove(&h->in_open);
    pthread_mutex_unlock(&all->lock);
    handle_destroy(h);
}

const struct view_listing *handles_get_listing(struct handles *all, struct handle *h)
{
    const struct view_listing *listing;

    pthread_mutex_lock(&all->lock);
    listing = h->listing;
    pthread_mutex_unlock(&all->lock);
    return listing;
}

const struct view_listing *handles_set_listing(struct handles *all, struct handle *h,
                                               struct view_listing *listing)
{
    struct view_listing *spare = listing;

    pthread_mutex_lock(&all->lock);
    if (!h->listing) {
        h->listing = listing;
        spare = NULL;
    }
    listing = h->listing;
    pthread_mutex_unlock(&all->lock);
    end(NULL, spare);
    return listing;
}
