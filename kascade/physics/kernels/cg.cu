// Conjugate gradients on many systems at once, without a word to the host: three kernels for each iteration.
//
// Vectors are (items, samples). Each item has BLOCKS blocks, each of which leaves one partial sum; whoever needs the sum
// adds them up, always in the same order. What is known of an item lies in two places, of which each iteration reads
// one (`now`) and writes the other: r2[2][items] and active[2][items].

// Sum over the block, known to all of its threads. THREADS is a power of two.
__device__ inline float block_sum(float value) {
    __shared__ float part[THREADS];
    const int me = threadIdx.x;
    __syncthreads();  // a sum before this one has been read
    part[me] = value;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (me < half) part[me] += part[me + half];
    }
    __syncthreads();
    return part[0];
}

__device__ inline float sum_of_parts(const float *parts, long long blocks) {
    float sum = 0;
    for (long long i = threadIdx.x; i < blocks; i += THREADS) sum += parts[i];
    return block_sum(sum);
}

// q += shift p; parts: Re<p, q>.
extern "C" __global__ void __launch_bounds__(THREADS)
curvature(const float2 *__restrict__ p, float2 *__restrict__ q, const float *__restrict__ shift,
          float *__restrict__ parts, const int *__restrict__ active, long long items, long long samples,
          long long blocks, long long now) {
    const long long item = blockIdx.x / blocks, block = blockIdx.x % blocks;
    if (!active[now * items + item]) return;
    const float a = shift[item];
    float sum = 0;
    for (long long n = block * THREADS + threadIdx.x; n < samples; n += blocks * THREADS) {
        const long long i = item * samples + n;
        const float2 value = q[i] + a * p[i];
        q[i] = value;
        sum += product(p[i], value);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[item * blocks + block] = sum;
}

// x += step p, r -= step q with step = r2 / Re<p, q>; parts_of_r: |r|^2.
extern "C" __global__ void __launch_bounds__(THREADS)
advance(float2 *__restrict__ x, float2 *__restrict__ r, const float2 *__restrict__ p, const float2 *__restrict__ q,
        const float *__restrict__ parts, float *__restrict__ parts_of_r, const float *__restrict__ r2,
        const int *__restrict__ active, long long items, long long samples, long long blocks, long long now) {
    const long long item = blockIdx.x / blocks, block = blockIdx.x % blocks;
    if (!active[now * items + item]) return;
    const float step = r2[now * items + item] / sum_of_parts(parts + item * blocks, blocks);
    float sum = 0;
    for (long long n = block * THREADS + threadIdx.x; n < samples; n += blocks * THREADS) {
        const long long i = item * samples + n;
        x[i] = x[i] + step * p[i];
        const float2 rest = r[i] - step * q[i];
        r[i] = rest;
        sum += product(rest, rest);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts_of_r[item * blocks + block] = sum;
}

// p = r + beta p with beta = |r|^2 / r2; one thread of each item writes down where it stands.
extern "C" __global__ void __launch_bounds__(THREADS)
direction(float2 *__restrict__ p, const float2 *__restrict__ r, const float *__restrict__ parts_of_r, float *r2,
          int *active, long long *__restrict__ iterations, const float *__restrict__ limit, long long items,
          long long samples, long long blocks, long long now) {
    const long long item = blockIdx.x / blocks, block = blockIdx.x % blocks;
    const long long here = now * items + item, there = (1 - now) * items + item;
    const bool writes = block == 0 && threadIdx.x == 0;
    if (!active[here]) {
        if (writes) {
            r2[there] = r2[here];
            active[there] = 0;
        }
        return;
    }
    const float rest = sum_of_parts(parts_of_r + item * blocks, blocks), beta = rest / r2[here];
    for (long long n = block * THREADS + threadIdx.x; n < samples; n += blocks * THREADS) {
        const long long i = item * samples + n;
        p[i] = r[i] + beta * p[i];
    }
    if (writes) {
        r2[there] = rest;
        active[there] = rest > limit[item];
        iterations[item] += 1;
    }
}
