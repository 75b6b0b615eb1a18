#include "views/steps.h"

#include "text/cut.h"

#include <stdio.h>

bool steps_has_file(const struct facts_step *step)
{
    return step->conclusion != FACTS_SKIPPED;
}

static bool has_number_before(const struct facts_job *job, size_t end, unsigned number)
{
    for (size_t i = 0; i < end; i++)
        if (job->steps[i].number == number)
            return true;
    return false;
}

/* Each number once, from 1; in a list in order this is one look at each. */
static bool has_numbers(const struct facts_job *job)
{
    unsigned largest = 0;

    for (size_t i = 0; i < job->step_count; i++) {
        unsigned number = job->steps[i].number;
        if (number == 0 || (number <= largest && has_number_before(job, i, number)))
            return false;
        if (number > largest)
            largest = number;
    }
    return true;
}

bool steps_is_whole(const struct facts_job *job)
{
    if (job->step_count > TEXT_STEPS_MAX || !has_numbers(job))
        return true;
    for (size_t i = 0; i < job->step_count; i++)
        if (steps_has_file(&job->steps[i]))
            return false;
    return true;
}

unsigned steps_get_width(const struct facts_job *job)
{
    unsigned largest = 0, width = 2;

    for (size_t i = 0; i < job->step_count; i++)
        if (job->steps[i].number > largest)
            largest = job->steps[i].number;
    for (unsigned n = largest / 100; n; n /= 10)
        width++;
    return width;
}

void steps_make_name(const struct facts_step *step, unsigned width, char ret_name[SAFE_NAME_LEN])
{
    char number[16];

    snprintf(number, sizeof(number), "%0*u-", (int)width, step->number);
    safe_name_make(number, step->name, ".txt", ret_name);
}
