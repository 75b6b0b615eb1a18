#include "net/gate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* More than can be led at once, so that there is always one to drop. */
#define HOSTS_MAX 256

struct net_gate_host {
    struct list link;
    struct list waiting; /* empty unless led */
    int64_t known_until_ms;
    bool is_led;
    char name[];
};

void net_gate_init(struct net_gate *gate)
{
    list_init(&gate->hosts);
    gate->count = 0;
    list_init(&gate->released);
}

static void drop(struct net_gate *gate, struct net_gate_host *host)
{
    assert(!host->is_led && list_is_empty(&host->waiting));
    list_remove(&host->link);
    gate->count--;
    free(host);
}

void net_gate_finish(struct net_gate *gate)
{
    list_each_safe(link, &gate->hosts)
        drop(gate, list_entry(link, struct net_gate_host, link));
}

static struct net_gate_host *find(struct net_gate *gate, const char *name)
{
    list_each(link, &gate->hosts) {
        struct net_gate_host *host = list_entry(link, struct net_gate_host, link);
        if (strcmp(host->name, name) == 0)
            return host;
    }
    return NULL;
}

/* The one not used for longest goes; its name is looked up again should it come back. */
static void make_room(struct net_gate *gate)
{
    struct list *link = gate->hosts.prev;

    while (gate->count >= HOSTS_MAX && link != &gate->hosts) {
        struct net_gate_host *host = list_entry(link, struct net_gate_host, link);
        link = link->prev;
        if (!host->is_led)
            drop(gate, host);
    }
}

static struct net_gate_host *add(struct net_gate *gate, const char *name)
{
    size_t len = strlen(name);
    struct net_gate_host *host;

    make_room(gate);
    host = calloc(1, sizeof(*host) + len + 1);
    if (!host)
        return NULL;
    list_init(&host->waiting);
    memcpy(host->name, name, len + 1);
    list_push_front(&gate->hosts, &host->link);
    gate->count++;
    return host;
}

enum net_gate_answer net_gate_enter(struct net_gate *gate, const char *name, struct list *link,
                                    int64_t now_ms, struct net_gate_host **ret_led)
{
    struct net_gate_host *host = find(gate, name);

    if (!host)
        host = add(gate, name);
    if (!host)
        return NET_GATE_OPEN;
    list_remove(&host->link);
    list_push_front(&gate->hosts, &host->link);
    if (host->is_led) {
        list_push_back(&host->waiting, link);
        return NET_GATE_WAIT;
    }
    if (now_ms < host->known_until_ms)
        return NET_GATE_OPEN;
    host->is_led = true;
    *ret_led = host;
    return NET_GATE_LEAD;
}

void net_gate_settle(struct net_gate *gate, struct net_gate_host *led, int64_t known_until_ms)
{
    assert(led->is_led);
    led->is_led = false;
    led->known_until_ms = known_until_ms;
    list_splice(&gate->released, &led->waiting);
}

void net_gate_fail(struct net_gate_host *led, struct list *waited)
{
    assert(led->is_led);
    led->is_led = false;
    led->known_until_ms = 0;
    list_splice(waited, &led->waiting);
}

void net_gate_forget(struct net_gate *gate, const char *name)
{
    struct net_gate_host *host = find(gate, name);

    if (host)
        host->known_until_ms = 0;
}
