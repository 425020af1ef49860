// E^H E of Cartesian SENSE where the mask varies along the last axis only: one block does one line, for all coils.
//
// Compiled for N (samples of a line), RADICES (their product is N, outermost first), FIRST (the first of them), LAST,
// SETS (of maps), GROUPS (coils at one time) and THREADS (of a block, at least GROUPS * N / FIRST).
//
// The forward transform decimates in frequency, in place: its output is in digit-reversed order, and so are the weights.
// The one back decimates in time and takes it in that order; what lies between the two stays in registers. It is a
// forward transform, too, of the conjugate: conj(ifft(v)) = fft(conj(v)) / N, and 1 / N is part of the weights.

constexpr int LANES = N / FIRST;                                                             // threads for one coil
__device__ inline int at(int p) { return LAST % 2 == 0 ? p + p / 16 : p; }  // a gap where neighbors would share a bank
constexpr int PITCH = LAST % 2 == 0 ? N + N / 16 : N;                                // of one coil in shared memory

// Innermost: transform, weights, transform, on RADIX neighbors.
template <int LENGTH, int RADIX>
__device__ inline void filter(float2 *shared, const float *__restrict__ weights, const float2 *__restrict__) {
    for (int i = threadIdx.x; i < GROUPS * (N / RADIX); i += THREADS) {
        float2 *data = shared + i / (N / RADIX) * PITCH, v[RADIX];
        const int p = i % (N / RADIX) * RADIX;
#pragma unroll
        for (int k = 0; k < RADIX; ++k) v[k] = data[at(p + k)];
        transform<RADIX>(v);
#pragma unroll
        for (int k = 0; k < RADIX; ++k) v[k] = weights[p + k] * conjugate(v[k]);
        transform<RADIX>(v);
#pragma unroll
        for (int k = 0; k < RADIX; ++k) data[at(p + k)] = v[k];
    }
}

// Between outermost and innermost: one stage there, what is further inside, the same stage back.
template <int LENGTH, int RADIX, int NEXT, int... REST>
__device__ inline void filter(float2 *shared, const float *__restrict__ weights, const float2 *__restrict__ twiddles) {
    constexpr int STEP = LENGTH / RADIX;
    for (int way = 0; way < 2; ++way) {
        for (int i = threadIdx.x; i < GROUPS * (N / RADIX); i += THREADS) {
            const int j = i % (N / RADIX), offset = j % STEP, p = j / STEP * LENGTH + offset;
            float2 *data = shared + i / (N / RADIX) * PITCH, v[RADIX];
#pragma unroll
            for (int k = 0; k < RADIX; ++k) {
                v[k] = data[at(p + k * STEP)];
                if (way == 1) v[k] = v[k] * twiddles[k * STEP + offset];
            }
            transform<RADIX>(v);
#pragma unroll
            for (int k = 0; k < RADIX; ++k)
                data[at(p + k * STEP)] = way == 0 ? v[k] * twiddles[k * STEP + offset] : v[k];
        }
        if (way == 0) {
            __syncthreads();
            filter<STEP, NEXT, REST...>(shared, weights, twiddles + LENGTH);
            __syncthreads();
        }
    }
}

template <int LENGTH, int RADIX, int... REST>
__device__ inline void inside(float2 *shared, const float *__restrict__ weights, const float2 *__restrict__ twiddles) {
    filter<LENGTH, REST...>(shared, weights, twiddles);
}

// image, out: (items, SETS, lines, N). maps: (maps_items, SETS, coils, lines, N), which repeat if they are fewer than the
// items, as do the weights: (weights_items, N), digit-reversed. twiddles: of all stages but the innermost, in turn.
extern "C" __global__ void __launch_bounds__(THREADS)
gram(const float2 *__restrict__ image, const float2 *__restrict__ maps, const float *__restrict__ weights,
     const float2 *__restrict__ twiddles, float2 *__restrict__ out, long long coils, long long lines,
     long long maps_items, long long weights_items) {
    extern __shared__ float2 shared[];
    const int item = blockIdx.x / (unsigned)lines, line = blockIdx.x % (unsigned)lines;
    const long long plane = lines * N;
    image += item * SETS * plane + line * (long long)N;
    out += item * SETS * plane + line * (long long)N;
    maps += item % (int)maps_items * SETS * coils * plane + line * (long long)N;
    weights += item % (int)weights_items * N;

    const int lane = threadIdx.x % LANES, group = threadIdx.x / LANES;  // this thread's samples: lane + k LANES
    float2 *data = shared + group * PITCH, total[SETS][FIRST];
#pragma unroll
    for (int set = 0; set < SETS; ++set)
#pragma unroll
        for (int k = 0; k < FIRST; ++k) total[set][k] = make_float2(0, 0);

    for (int begin = 0; begin < coils; begin += GROUPS) {
        const int coil = begin + group;
        const bool busy = group < GROUPS && coil < coils;
        float2 s[SETS][FIRST], v[FIRST];
        if (busy) {
#pragma unroll
            for (int k = 0; k < FIRST; ++k) v[k] = make_float2(0, 0);
#pragma unroll
            for (int set = 0; set < SETS; ++set)
#pragma unroll
                for (int k = 0; k < FIRST; ++k) {
                    s[set][k] = maps[(set * coils + coil) * plane + k * LANES + lane];
                    v[k] = v[k] + s[set][k] * image[set * plane + k * LANES + lane];
                }
            transform<FIRST>(v);
#pragma unroll
            for (int k = 0; k < FIRST; ++k) data[at(k * LANES + lane)] = v[k] * twiddles[k * LANES + lane];
        }
        __syncthreads();
        inside<LANES, RADICES>(shared, weights, twiddles + N);
        __syncthreads();
        if (busy) {  // the same samples as above: nobody else touches them until the next __syncthreads()
#pragma unroll
            for (int k = 0; k < FIRST; ++k) v[k] = data[at(k * LANES + lane)] * twiddles[k * LANES + lane];
            transform<FIRST>(v);
#pragma unroll
            for (int set = 0; set < SETS; ++set)
#pragma unroll
                for (int k = 0; k < FIRST; ++k) total[set][k] = total[set][k] + s[set][k] * v[k];
        }
    }

#pragma unroll
    for (int set = 0; set < SETS; ++set) {
        if (set > 0) __syncthreads();
        if (group < GROUPS)
#pragma unroll
            for (int k = 0; k < FIRST; ++k) data[at(k * LANES + lane)] = total[set][k];
        __syncthreads();
        for (int n = threadIdx.x; n < N; n += THREADS) {
            float2 sum = shared[at(n)];
            for (int other = 1; other < GROUPS; ++other) sum = sum + shared[other * PITCH + at(n)];
            out[set * plane + n] = conjugate(sum);
        }
    }
}
