// Enough of CUDA C++ to run a kernel on the CPU: each block's threads are coroutines, which __syncthreads() switches.
//
// Between two barriers the threads run one after the other, in an order that the caller chooses: a missing barrier shows
// as a result that depends on it. Shared memory starts as NaN and is followed by a guard.

#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __restrict__
#define __launch_bounds__(threads)
#define __shared__ thread_local

struct float2 { float x, y; };
inline float2 make_float2(float x, float y) { return {x, y}; }

struct Index { unsigned x; };
static Index threadIdx, blockIdx;

constexpr std::size_t SHARED = 48 * 1024 / sizeof(float2), GUARD = 1024, STACK = 128 * 1024;
thread_local float2 shared[SHARED + GUARD];

enum Result { FINE, OVERFLOW_OF_SHARED, BARRIER_NOT_REACHED_BY_ALL };

static ucontext_t scheduler;
struct Thread {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(STACK);
    enum { RUNNING, WAITING, DONE } state;
};
static std::vector<Thread> threads;
static unsigned current;

inline void __syncthreads() {
    const unsigned me = current;
    threads[me].state = Thread::WAITING;
    swapcontext(&threads[me].context, &scheduler);
    current = threadIdx.x = me;
}

template <class Body> struct Call {
    static Body *body;
    static void entry() {
        (*body)();
        threads[current].state = Thread::DONE;
    }
};
template <class Body> Body *Call<Body>::body;

// One block to its end. order: 0 forwards, 1 backwards, else the seed of a new order for each stretch between barriers.
template <class Body> Result run_block(Body &body, unsigned count, unsigned order) {
    if (threads.size() < count) threads.resize(count);
    Call<Body>::body = &body;
    std::vector<unsigned> turn(count);
    for (unsigned t = 0; t < count; ++t) {
        turn[t] = order == 1 ? count - 1 - t : t;
        Thread &thread = threads[t];
        thread.state = Thread::RUNNING;
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.data();
        thread.context.uc_stack.ss_size = STACK;
        thread.context.uc_link = &scheduler;
        makecontext(&thread.context, Call<Body>::entry, 0);
    }
    std::mt19937 random(order);
    for (unsigned done = 0; done < count;) {
        if (order > 1) std::shuffle(turn.begin(), turn.end(), random);
        done = 0;
        for (unsigned t : turn) {
            current = threadIdx.x = t;
            swapcontext(&scheduler, &threads[t].context);
            done += threads[t].state == Thread::DONE;
        }
        if (done > 0 && done < count) return BARRIER_NOT_REACHED_BY_ALL;
    }
    return FINE;
}

template <class... A, std::size_t... I>
Result run(void (*kernel)(A...), void **arguments, std::size_t shared_bytes, unsigned blocks, unsigned count,
           unsigned order, std::index_sequence<I...>) {
    auto body = [&] { kernel(*static_cast<A *>(arguments[I])...); };
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::size_t used = shared_bytes / sizeof(float2);
    for (unsigned b = 0; b < blocks; ++b) {
        blockIdx.x = order == 1 ? blocks - 1 - b : b;
        std::fill_n(shared, used, float2{nan, nan});
        std::memset(shared + used, 0x5a, (SHARED + GUARD - used) * sizeof(float2));
        const Result result = run_block(body, count, order);
        if (result != FINE) return result;
        const char *guard = reinterpret_cast<const char *>(shared + used);
        if (std::any_of(guard, guard + (SHARED + GUARD - used) * sizeof(float2), [](char c) { return c != 0x5a; }))
            return OVERFLOW_OF_SHARED;
    }
    return FINE;
}

#define RUN_ON_CPU(KERNEL)                                                                                             \
    template <class... A> static Result run_it(void (*kernel)(A...), void **arguments, std::size_t shared_bytes,       \
                                               unsigned blocks, unsigned count, unsigned order) {                      \
        return run(kernel, arguments, shared_bytes, blocks, count, order, std::index_sequence_for<A...>());            \
    }                                                                                                                  \
    extern "C" int run_on_cpu(void **arguments, std::size_t shared_bytes, unsigned blocks, unsigned count,             \
                              unsigned order) {                                                                        \
        return run_it(KERNEL, arguments, shared_bytes, blocks, count, order);                                          \
    }
