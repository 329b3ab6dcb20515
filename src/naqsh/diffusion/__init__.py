"""The mathematics of diffusion: noise schedules, denoisers, samplers, bounds and likelihoods."""
