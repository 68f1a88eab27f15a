"""Why a training in Keras differs from the same one in torch.

A config of ``fit`` comes in. How much of the difference of the losses each known difference makes goes out.
"""
